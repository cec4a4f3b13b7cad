"""The ONNX view of a model: export from torch, passes over the graph, evaluation."""
