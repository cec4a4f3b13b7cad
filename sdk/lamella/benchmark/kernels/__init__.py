"""How fast the kernels are here, beside a plain read of memory and other libraries."""
