"""Runs inside a service's clean environment: serves its staged folder and prints what it answered, as JSON.

Standard input: {"staged": folder, "target": function, "requests": [{"path", "headers", "body"}]}.
It may import nothing but what the service's own extra brings.
"""

import json
import sys
from pathlib import Path


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
    loaded = sorted({name.split(".")[0] for name in sys.modules})
    print(json.dumps({"answers": answers, "files": [path for path in ours if path], "loaded": loaded}))


if __name__ == "__main__":
    main()
