"""The onnx target: one ONNX file that runs on stock onnxruntime."""
