"""The Ray engine: attempts as tasks of a Ray cluster, whose nodes need share no file system.

    engine.py    the engine in the study process: which node takes an attempt, and what became of it
    cluster.py   reaching a cluster, and what is refused before anything is sent
    nodes.py     what nodes have free, and which kind of machine each is
    kinds.py     on which kind each search began
    remote.py    all that Ray itself runs: the keeper, attempts, the look at a new node
    keeper.py    the one writer of results
    hosting.py   an attempt on its node: a forked process with torch, its scratch, its records
    shipping.py  inside that process: what is new in the scratch, on its way to the keeper
    probe.py     what a node is: code, torch, processor, data
    baggage.py   plug-ins and data that travel
    parcel.py    how text and files travel as bytes
    scratch.py   folders of attempts on a node, and the sweeping of those whose attempt is dead

Only `engine`, `cluster` and `remote` import Ray, and only where it is used; nothing here imports torch, but for the
functions that run in the forked process.
"""
