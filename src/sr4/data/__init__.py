"""Pictures for training and measuring: found, cropped, and corrupted as cameras and pages do.

`sr4.data.loader` alone needs torch.
"""

from sr4.data.evaluation import EvaluationBatch, evaluation_batches
from sr4.data.sources import Source, open_source, open_sources

__all__ = ["EvaluationBatch", "Source", "evaluation_batches", "open_source", "open_sources"]
