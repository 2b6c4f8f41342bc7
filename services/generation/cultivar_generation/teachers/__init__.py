"""The teachers: a Ray Serve application that serves text and embedding models by the OpenAI protocol.

    HTTP -> api -> backend (tokens, prompts) -> engine, one thread -> generation lane -> decoder -> model, adapters
             keys, bounds, errors                                  -> scoring lane    ->
                                                                   -> embedding lane  -> encoder

A lane does one kind of work for one adapter in short steps, and the engine gives each lane a step in turn. Prompts are
read as a tree, so that what they share is read once. Nothing here is imported by the service's own process.
"""
