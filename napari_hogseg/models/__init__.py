"""U-Net, U2-Net, regression heads and the multi-task wrapper."""
