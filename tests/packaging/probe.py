"""Runs inside a service's clean environment: serves its staged folder and prints what it answered, as JSON.

Standard input: {"staged": folder, "target": function, "requests": [{"path", "headers", "body"}],
"imports": the modules that the service's code names anywhere, also inside functions}.
It may import nothing but what the service's own extra brings.
"""

import importlib.util
import json
import sys
from pathlib import Path

# What a test environment or a careless import would bring along.
STRANGERS = ("pandas", "pytest", "mypy", "hypothesis", "mend", "tests")


def main() -> None:
    """Answer every request with the function's own test client."""
    question = json.load(sys.stdin)
    from functions_framework import create_app

    source = Path(question["staged"]) / "main.py"
    client = create_app(target=question["target"], source=str(source)).test_client()
    answers = []
    for request in question["requests"]:
        answer = client.post(request["path"], headers=request["headers"], data=request["body"].encode())
        answers.append({"status": answer.status_code, "body": answer.get_data(as_text=True)})
    ours = [
        getattr(module, "__file__", None)
        for name, module in sys.modules.items()
        if name.startswith(("shared.", "services."))
    ]
    strangers = [name for name in STRANGERS if importlib.util.find_spec(name)]
    missing = [name for name in question["imports"] if not importlib.util.find_spec(name)]
    print(
        json.dumps(
            {"strangers": strangers, "missing": missing, "answers": answers, "files": [path for path in ours if path]}
        )
    )


if __name__ == "__main__":
    main()
