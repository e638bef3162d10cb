import subprocess
import sys


def test_without_hypothesis_the_module_says_what_to_install() -> None:
    program = "import sys; sys.modules['hypothesis'] = None; import pywasm_filter.testing.strategies"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.endswith(
        "ImportError: pywasm_filter.testing.strategies needs hypothesis: pip install 'pywasm-filter[hypothesis]'\n"
    )
