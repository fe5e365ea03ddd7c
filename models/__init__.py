"""The zoo: one .net file a model, read through `importlib.resources.files("netdsl.models")`."""
