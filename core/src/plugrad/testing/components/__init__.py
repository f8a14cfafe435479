"""The rules that layers, losses, optimizers and datasets keep, whoever wrote them."""
