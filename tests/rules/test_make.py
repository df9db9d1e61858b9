import pytest
import torch
import torch.nn.functional as F

import grape_bench as gb
from grape_bench import UserError
from grape_bench.rules.make import check_settings
from tests.network.problems import tanh_mlp

RULE_FILE = '''
import grape_bench as gb


@gb.register_rule("half-dfa")
class HalfDFA(gb.DirectFeedback):
    """Half of what DFA sends."""

    def signal(self, block, error):
        return 0.5 * self.project(error, block)
'''


@pytest.fixture
def rule_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RULE_FILE)
    return f"{path}:HalfDFA"


def test_a_ten_line_rule_in_a_file_is_a_rule_beside_the_others(rule_file):
    x = torch.randn(4, 6)
    gradients = []
    for rule in ("dfa", rule_file):
        torch.manual_seed(0)
        model = tanh_mlp()
        gb.attach(model, gb.make_rule(rule), x)
        F.cross_entropy(model(x), torch.arange(4)).backward()
        gradients.append(model[0].weight.grad)
    torch.testing.assert_close(gradients[1], 0.5 * gradients[0])


def test_it_can_be_anchored_and_loaded_twice(rule_file):
    assert type(gb.make_rule(f"{rule_file}+anchor")).__name__ == "Anchored"
    assert type(gb.make_rule(rule_file)).__name__ == "HalfDFA"


def test_unknown_names_and_settings_are_answered_with_what_is_allowed(rule_file, tmp_path):
    with pytest.raises(UserError, match="unknown rule 'grap'; did you mean 'grape'"):
        gb.make_rule("grap")
    with pytest.raises(UserError, match="rule 'grape': unknown setting 'perturbation'; did you mean 'perturbations'"):
        gb.make_rule("grape", perturbation=2)
    with pytest.raises(UserError, match="unknown setting 'lrr'; did you mean 'lr'"):
        check_settings("dfa", ["lrr"], also=["lr"])
    check_settings("dfa+anchor", ["lr", "every_epochs"], also=["lr"])
    with pytest.raises(UserError, match="did you mean 'HalfDFA'"):
        gb.make_rule(rule_file.replace("HalfDFA", "HalfDFa"))
    with pytest.raises(UserError, match="no file"):
        gb.make_rule("nowhere.py:Rule")
    with pytest.raises(UserError, match="does not accept its settings: perturbations and refresh must be at least 1"):
        gb.make_rule("grape", perturbations=0)
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name")
    with pytest.raises(UserError, match="importing it raised ModuleNotFoundError"):
        gb.make_rule(f"{broken}:Rule")


def test_settings_reach_the_rule_and_its_anchor():
    rule = gb.make_rule("grape+anchor", perturbations=2, every_epochs=3)
    assert (rule.every_epochs, rule.rule.perturbations) == (3, 2)
    assert repr(rule.rule).startswith("GrAPE(perturbations=2, ")


@pytest.mark.parametrize("variant", ["grape-lazy", "grape-lazy+anchor", "grape-lazy+refit"])
def test_grape_is_the_rule_of_the_paper_and_its_cheaper_form_has_a_name_of_its_own(variant):
    """The paper refreshes the feedback at every mini-batch."""
    papers = variant.replace("-lazy", "")
    assert (gb.make_rule(papers).period, gb.make_rule(variant).period) == (1, 8)
    assert gb.make_rule(variant, refresh=3).period == 3, "a name's settings are defaults"
    assert gb.make_rule(variant).state().keys() == gb.make_rule(papers).state().keys()


def test_anchors_need_to_know_where_an_epoch_begins():
    model = tanh_mlp()
    gb.attach(model, "dfa+anchor", torch.randn(4, 6))
    with pytest.raises(RuntimeError, match="begin_epoch"):
        model(torch.randn(4, 6))


def test_the_control_that_takes_no_steps_has_no_anchors():
    with pytest.raises(UserError, match="frozen takes no training steps"):
        gb.make_rule("frozen+anchor")
