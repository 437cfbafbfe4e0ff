"""What a file must say to be an ONNX network at all: judged by arithmetic on sizes, before onnx, numpy or anything else acts on it.

    file        sizes of tensors and values, numbers of attributes, calls of functions: all that needs no shape
    infer       types and shapes node by node; each node is judged before onnx infers it, each result before anything could be as large
    facts       what a rule may ask of a node
    windows     rules of convolutions, pools and what else has channels
    movement    rules of operators that move elements
    axes        rules of axes, reductions and parameters
    folding     results of operators on constants, bounded before they are computed
"""
