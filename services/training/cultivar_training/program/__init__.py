"""The training program: `python -m cultivar_training.program SPEC_FILE`, started by the service through a launcher.

The driver (`__main__`) starts Ray Train (`group`) while runs come in at the `desk`, which checks their rows. Every
worker (`worker`, then `run`) renders the rows (`rows`), plans all steps of the run in advance (`steps`), packs each
step without padding (`packs`) and trains (`trainer`, `following`). What the run is at is told through a file of events
(`events`); what a later attempt needs to go on is one safetensors file (`checkpoints`); the adapter is loaded again and
compared before the program says so (`adapter`). A program that has an inbox then waits for the next run.

Only files that run in workers import torch, and only inside functions or in modules that the driver does not import.
"""
