"""tools/man_to_markdown on what manual pages really hold. CTest runs it as `manpages_test`."""
import os
import subprocess
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")

# From proc(5) of Debian 12's manpages: rows of a table that stand at the margin, as headings do.
PROC = r""".TH proc 5 2023-02-05 "Linux man-pages 6.03"
.SH NAME
proc \- process information, system information, and sysctl pseudo-filesystem
.SH DESCRIPTION
The
.B proc
filesystem is a pseudo-filesystem.
.SS Files and directories
The following list describes many of the files and directories.
.TP
.I /proc/buddyinfo
This file contains information which is used for diagnosing memory
fragmentation issues.
.IP
For example on an x86-64 system:
.RS -12
.EX
Node 0, zone     DMA     1    1    1    0    2    1    1    0    1    1    3
Node 0, zone   DMA32    65   47    4   81   52   28   13   10    5    1  404
# a line that is no heading of Markdown
.EE
.RE
.SH NOTES
.SS History of a \fIname\fP
Many files.
"""


def headings(markdown):
    return [line for line in markdown.splitlines() if line.startswith("#")]


class ManToMarkdown(unittest.TestCase):
    def test_headings_are_the_pages_own(self):
        markdown = subprocess.run([os.path.join(ROOT, "tools", "man_to_markdown"), "proc(5)"], input=PROC,
                                  capture_output=True, text=True, check=True).stdout
        self.assertEqual(headings(markdown),
                         ["# proc(5): process information, system information, and sysctl pseudo-filesystem",
                          "## NAME", "## DESCRIPTION", "### Files and directories", "## NOTES",
                          "### History of a name"])
        self.assertIn("\nNode 0, zone     DMA     1    1", markdown)
        self.assertIn("\n\\# a line", markdown)


if __name__ == "__main__":
    unittest.main()
