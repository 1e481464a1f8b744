"""What the families share about batch normalization. Knows nothing else."""

#: Of the moving mean and variance. Keras' 0.99 needs hundreds of steps before inference is right;
#: 0.9 (PyTorch's default, 1 - 0.1) follows within dozens, as small data sets need.
MOMENTUM = 0.9
