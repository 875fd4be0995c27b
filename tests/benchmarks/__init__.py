"""`make bench`: the evaluator beside its peer and beside the limit, measured in one run and printed as one table.

The peer is `tf_keras.utils.SidecarEvaluator`, or what it calls for the part that is measured; the limit is the least
that the hardware allows, such as a hand-written compiled loop over data in memory. Each group of rows is one module
with a function `rows`, run in a process of its own. A score that is wrong ends the run; a budget that is missed is
said in the table.
"""
