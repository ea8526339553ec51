"Training as PyTorch's documentation writes it: what gradlr is measured against, in speed and in every loss"
from collections.abc import Iterable, Iterator

import torch
from fastai.vision.core import imagenet_stats
from torch import nn
from torch.nn.functional import cross_entropy


def normalised(
    pixels:torch.Tensor # uint8, images × 3 channels × height × width
)->torch.Tensor:
    "Pixels as a network that knows ImageNet wants them"
    mean, std = (torch.tensor(stats, device=pixels.device)[:,None,None] for stats in imagenet_stats)
    return (pixels.float()/255 - mean)/std

def batches(
    pixels:torch.Tensor, # uint8, images × 3 channels × height × width
    labels:torch.Tensor, # One a image
    batch_size:int, # The last batch may be smaller
    shuffle:bool=False # In a new order?
)->Iterator[tuple[torch.Tensor,torch.Tensor]]:
    "Normalised images with their labels"
    order = torch.randperm(len(pixels)) if shuffle else torch.arange(len(pixels))
    for index in order.split(batch_size): yield normalised(pixels[index]), labels[index]

def loss_of(
    model:nn.Module, # In training or in evaluation mode
    x:torch.Tensor, # Normalised images
    y:torch.Tensor, # Their labels
    precision:str="float32", # Of the forward pass: "bfloat16" is autocast
    layout:torch.memory_format=torch.channels_last # Of the images in memory
)->torch.Tensor:
    "Cross-entropy of a batch"
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return cross_entropy(model(x.contiguous(memory_format=layout)), y)

def train(
    model:nn.Module, # Without gradients; its weights move
    optimizer:torch.optim.Optimizer, # Of the model's parameters
    batches:Iterable[tuple[torch.Tensor,torch.Tensor]], # Normalised images with their labels
    **how # Precision and layout, as for `loss_of`
)->list[torch.Tensor]: # The loss of every step, on its device
    "An epoch of the plain loop"
    model.train()
    losses = []
    for x, y in batches:
        loss = loss_of(model, x, y, **how)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return losses

@torch.no_grad()
def validate(
    model:nn.Module, # Stays as it is, in evaluation mode
    batches:Iterable[tuple[torch.Tensor,torch.Tensor]], # Normalised images with their labels
    **how # Precision and layout, as for `loss_of`
)->list[torch.Tensor]: # The loss of every batch, on its device
    "The loop without steps"
    model.eval()
    return [loss_of(model, x, y, **how) for x, y in batches]
