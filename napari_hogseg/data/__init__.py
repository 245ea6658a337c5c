"""Label schemes, data-set layouts, splits, torch data sets, augmentation."""
