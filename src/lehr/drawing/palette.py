"""Colours of series and classes that stay apart for colour-blind readers, on light and on dark paper, as `#rrggbb`.

They begin with those of Okabe & Ito ("Color Universal Design", 2008). The others were chosen so that all of them stay
apart under protanopia, deuteranopia and tritanopia (simulated after Machado et al., 2009), and so that each has a
contrast of at least 3 with the paper (WCAG 2.2, 1.4.11).
"""

from __future__ import annotations

ON_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#a82bf0", "#8a3000", "#241a73", "#401404", "#6b7280")
"""Colours on white paper; the last is a grey for what is only context."""
ON_DARK = ("#7ecbff", "#ff8c42", "#0fae7c", "#b967ff", "#ffe14d", "#e2f9d4", "#f03a5c", "#9aa3ad")
"""Colours on dark paper and on photographs, in the same order."""
