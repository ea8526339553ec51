"What the benchmarks share: seconds and peak memory of a piece of work, as Linux counts them for this process, and what machine this is"
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
    "Seconds of the work, the MB that it adds at its peak, and its result"
    Path("/proc/self/clear_refs").write_text("5")                           # the highest so far is forgotten
    before, begin = resident("VmRSS"), time.perf_counter()
    result = work()
    return time.perf_counter() - begin, resident("VmHWM") - before, result

def in_fresh_process(function:Callable, *args):
    "The result of a function that a new process calls: nothing computed before has left memory or threads there"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process: return process.submit(function, *args).result()

def about_the_machine()->str:
    "In a line: what every figure depends on"
    from gradlr.machine import device_name
    return f"{device_name()}, {os.cpu_count()} cores, torch {version('torch')}, fastai {version('fastai')}, gradlr {version('gradlr')}"
