"""Networks of line ratios: ``line_ratios``, a posterior; ``line_ratio_ann``, as published."""
