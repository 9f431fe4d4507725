"""The base's measurement, kept in the lake: every fine-tune of that base is compared with the same one."""

from workers.base_cache.cache import BaseCache
from workers.base_cache.index import BaseIndex, BaseUse
from workers.base_cache.key import BaseKey
from workers.base_cache.pruning import prune

__all__ = ["BaseCache", "BaseIndex", "BaseKey", "BaseUse", "prune"]
