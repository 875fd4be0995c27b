"""What the API server fills in where the user says nothing, and that it leaves alone what the user said."""

from integration.evaluations import MINIMAL, Evaluations, Object, merged

DEFAULTS: Object = {
    "checkpoints": {"format": "Auto", "selection": "Latest"},
    "evaluator": {"mode": "Continuous", "evaluationTimeoutSeconds": 3600},
    "historyLimit": 10,
    "readyWhen": "EvaluatorRunning",
    "suspend": False,
}

OTHER_VALUES: Object = {
    "checkpoints": {"format": "KerasWeights", "selection": "Every"},
    "evaluator": {"mode": "Continuous", "evaluationTimeoutSeconds": 60},
    "metrics": {"primary": "loss", "goal": "Minimize"},
    "historyLimit": 50,
    "readyWhen": "FirstEvaluation",
    "suspend": True,
}


def test_defaults_of_a_minimal_spec_are_exactly_the_documented_ones(evaluations: Evaluations) -> None:
    assert evaluations.create()["spec"] == merged(MINIMAL, DEFAULTS)


def test_given_values_are_kept(evaluations: Evaluations) -> None:
    assert evaluations.create(OTHER_VALUES)["spec"] == merged(MINIMAL, OTHER_VALUES)


def test_goal_defaults_to_maximize(evaluations: Evaluations) -> None:
    created = evaluations.create({"metrics": {"primary": "accuracy"}})
    assert created["spec"]["metrics"] == {"primary": "accuracy", "goal": "Maximize"}


def test_one_best_checkpoint_is_kept_by_default(evaluations: Evaluations) -> None:
    output = {"persistentVolumeClaim": {"claimName": "runs"}, "path": "eval"}
    spec = {"bestCheckpoint": {}, "metrics": {"primary": "accuracy"}, "evaluator": {"output": output}}
    assert evaluations.create(spec)["spec"]["bestCheckpoint"] == {"keep": 1}


def test_performance_is_filled_in_where_a_part_of_it_is_said(evaluations: Evaluations) -> None:
    created = evaluations.create({"evaluator": {"performance": {"dataInMemory": "Host"}}})
    assert created["spec"]["evaluator"]["performance"] == {
        "dataInMemory": "Host",
        "compilation": "Default",
        "precision": "Model",
        "distribution": "None",
        "checkpointsPerPass": 8,
    }


def test_status_of_a_new_resource_is_not_yet_observed(evaluations: Evaluations) -> None:
    assert evaluations.create()["status"] == {"observedGeneration": -1}


def test_user_cannot_set_the_status_with_the_spec(evaluations: Evaluations) -> None:
    evaluations.create()
    changed = evaluations.update({"status": {"job": "mine"}, "spec": {"suspend": True}})
    assert changed["status"] == {"observedGeneration": -1}
    assert changed["metadata"]["generation"] == 2
