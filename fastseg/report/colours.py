"""The colours of labels: 256 that lie far apart, for colour-blind people too.

``tests/support/palette.py`` makes them: each is the farthest that is left from those before it. Distances are those of
Oklab (Ottosson, 2020) times 100, where about 2 is just noticed; what people see who lack red, green or blue cones is as in
Machado, Oliveira and Fernandes (2009). Between any two of the first n colours the distance is more than

======  ================  ================
     n  for most people   without a cone
======  ================  ================
     8  18                8.7
    16  12.5              6.2
    32  8.5               4.3
    64  5.5               2.9
   128  3.9               1.9
   256  2.7               1.3
======  ================  ================

and more than 5.8 and 2.9 between a colour and the eight after it. From what says what is wrong (`pictures.ERRORS`) all colours
are farther than 14 and 9, from the greys in pictures than 8 and 4; their contrast with the page, light or dark, is above 1.5.
"""

from __future__ import annotations

__all__ = ["COLOURS"]

_DIGITS = """
    880000 009800 58c8f8 f89090 104050 806090 680088 b8a820 506838 a090d0 d81068 0068c0 f858b0 b8d0b8 a010a0 d06858
    20c068 a84000 584070 6098a0 f898e0 780850 384008 684838 a89080 80e090 98c800 d008a0 78b890 883858 80a000 9868c0
    008038 c890f8 a8d0f8 483830 d05080 e0a068 980070 f01800 7888c0 805858 00c0d0 588838 a048b0 b00028 b0c878 f08058
    703088 702840 087068 48e0d0 70a8c0 a06000 c03050 c8b0f0 98a050 685088 085020 502870 1880c8 f828b0 800898 88d0a0
    70a8f0 888858 b02878 d88838 384060 2880a0 f04848 7840a8 d890c8 903000 00a870 985068 f8b078 485048 6068a0 e07880
    787030 f880e0 804828 3090b0 80a098 d8b050 e87000 983890 e02090 580098 70c8d0 605838 489868 e09080 702860 c85048
    b888e0 e84890 606078 c8c0e8 78b8e0 7098c0 980020 881080 789040 38d878 284840 f068a0 6078b8 a0a0e0 a03868 801030
    603000 a8d8a8 68c848 b86800 d038a0 6868c0 98b0f8 a81050 880060 985028 80d0c0 80b048 a880d0 b83898 388820 909868
    684098 a86858 7058c0 60c890 f89040 602850 9068a8 e8a0d0 780068 585058 8890b0 8848b0 58b088 f0a838 f06040 00e0f8
    b00088 c04828 505018 e878c0 784048 a088a0 70a860 68a0d8 80c060 781818 f02848 6800a0 705808 803078 409090 9080b0
    700078 78d068 604020 905048 a07830 c8a070 885078 802840 903068 403078 c00088 207098 109048 7020a0 e0b088 589070
    783030 10a0b8 30a020 982880 f02098 68d8d8 90b080 e89800 602090 404830 b83820 204068 58b858 e04860 60d890 48a080
    88c028 901898 80a8d0 a04038 d06800 7858a8 603880 488858 00b050 e090f0 78d0e8 30b0c8 287800 503058 804890 583088
    b04058 d04068 982848 88c0e8 f8a068 307028 583838 b808a0 584868 785060 d03838 b02858 b0b8f8 901050 702878 60a060
    784000 f87060 58a8a0 90c858 504850 8878c0 803890 780888 48a048 a898e8 e88890 48b810 78c878 583858 d00840 784080
    a04080 c890b0 58b8e8 9858b0 404020 582080 603848 a8d0e0 9880c8 884070 c898d0 38a8b8 20c098 682818 8058b8 403848
"""

#: Of the labels 1 to 256.
COLOURS = tuple("#" + digits for digits in _DIGITS.split())
