"""What caption metrics are made with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.captions import meteor_unavailable, ptb_tokenize, shared_meteor
from d2vlm_pipeline.evaluation.contributions import Embed
from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.similarity import default_encoder

METEOR = "METEOR"


@dataclass
class CaptionTools:
    """Tokeniser, sentence encoder and METEOR.

    Attributes:
        unavailable: metric to why it could not be computed, and the mend; filled as METEOR is asked for.
    """

    embed: Embed = field(default_factory=default_encoder)
    tokenize: Callable[[Sequence[str]], list[str]] = ptb_tokenize
    with_meteor: bool = True
    unavailable: dict[str, str] = field(default_factory=dict)

    def meteor(self, true: Sequence[str], said: Sequence[str], groups: Sequence[int]) -> Floats | None:
        """METEOR of each group; None where it cannot be computed here."""
        if not self.with_meteor or METEOR in self.unavailable:
            return None
        try:
            if reason := meteor_unavailable():
                raise UserError(reason)
            return shared_meteor().score([[text] for text in true], said, groups)[1]
        except UserError as error:  # the program is not there, or failed twice: the other metrics go on
            self.unavailable[METEOR] = str(error)
            return None
