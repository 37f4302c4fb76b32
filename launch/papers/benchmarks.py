"""Columns in which tables of the benchmarks hold accuracies, by data set."""

# NAS-Bench-201: test accuracy after 200 epochs, mean over seeds, as NATS-Bench v1.0 has it.
NB201 = {
    "cifar10": ("cifar10_test_200",),
    "cifar100": ("cifar100_test_200",),
    "imagenet16-120": ("in16_test_200",),
}
# The same of NAS-Bench-201 v1.0, the release that the zero-cost code read; it differs on CIFAR-10 alone.
NB201_V1_0 = NB201 | {"cifar10": ("cifar10_test_200_v1_0",)}
# NAS-Bench-101: mean accuracy after 108 epochs. Its own files have validation accuracies, public copies have not.
NB101 = {"cifar10": ("val_108", "test_108", "test_acc_108_mean")}
# Test accuracies of the same.
NB101_TEST = {"cifar10": ("test_108", "test_acc_108_mean")}
