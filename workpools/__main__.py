"""Write the work pools' base job templates, as made from the blocks, to their files."""

import json

from workpools.pools import POOLS

for pool in POOLS.values():
    pool.TEMPLATE.write_text(json.dumps(pool.template(), indent=2) + "\n")
