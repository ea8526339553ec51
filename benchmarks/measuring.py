"What the benchmarks share: seconds and memory of a piece of work, rounds of several, and what machine this is"
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path


def resident(field:str)->float:
    "Resident memory in MB: now (`VmRSS`) or at its highest (`VmHWM`)"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))*1024/1e6

def measured(work:Callable)->tuple:
    "Seconds of the work, the MB that it adds at its peak as Linux counts them for this process, and its result"
    # The highest so far is forgotten
    Path("/proc/self/clear_refs").write_text("5")
    before, begin = resident("VmRSS"), time.perf_counter()
    result = work()
    return time.perf_counter() - begin, resident("VmHWM") - before, result

def alternating(
    works:dict[str,Callable], # By name
    rounds:int, # After a first one that warms up and does not count
    rest:float=0 # Seconds before each work, in which the threads of other libraries come to rest
)->tuple[dict[str,list[float]],dict[str,object]]: # By name: seconds in each round, and the result in the last
    "Rounds in which works take turns, since the machine's speed drifts"
    seconds, results = {name: [] for name in works}, {}
    for _ in range(rounds + 1):
        for name, work in works.items():
            time.sleep(rest)
            begin = time.perf_counter()
            results[name] = work()
            seconds[name].append(time.perf_counter() - begin)
    return {name: spent[1:] for name, spent in seconds.items()}, results

def in_fresh_process(function:Callable, *args):
    "The result of a function that a new process calls: nothing computed before has left memory or threads there"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args).result()

def about_the_machine()->str:
    "In a line: what every figure depends on"
    from gradlr.machine import device_name
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "fastai", "gradlr"))
    return f"{device_name()}, {os.cpu_count()} cores, {versions}"
