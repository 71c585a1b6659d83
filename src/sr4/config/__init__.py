"""What `config.json` of a model and `config.yaml` of a run hold, as validated data.

`sr4.build` makes objects of them; nothing further inside takes settings where it could take
objects. Each name that a setting may have, such as that of a sampler, is listed here.
"""

from sr4.config.base import Settings
from sr4.config.calibration import Calibration, HalfSplit
from sr4.config.explain import explain, keys_of, parse_model_config
from sr4.config.model import (
    DegradationSettings,
    ModelConfig,
    ModelSettings,
    ObjectiveSettings,
    ScheduleSettings,
)
from sr4.config.names import CORRUPTIONS, SAMPLERS, CorruptionName, SamplerName
from sr4.config.networks import (
    NETWORKS,
    AttentionInputNetworkSettings,
    FastNetworkSettings,
    NetworkSettings,
    SR3NetworkSettings,
    SR4NetworkSettings,
)
from sr4.config.run import DataSettings, DistillationSettings, RunSettings, TrainingSettings
from sr4.config.sampling import SamplingSettings

__all__ = [
    "CORRUPTIONS",
    "NETWORKS",
    "SAMPLERS",
    "AttentionInputNetworkSettings",
    "Calibration",
    "CorruptionName",
    "DataSettings",
    "DegradationSettings",
    "DistillationSettings",
    "FastNetworkSettings",
    "HalfSplit",
    "ModelConfig",
    "ModelSettings",
    "NetworkSettings",
    "ObjectiveSettings",
    "RunSettings",
    "SR3NetworkSettings",
    "SR4NetworkSettings",
    "SamplerName",
    "SamplingSettings",
    "ScheduleSettings",
    "Settings",
    "TrainingSettings",
    "explain",
    "keys_of",
    "parse_model_config",
]
