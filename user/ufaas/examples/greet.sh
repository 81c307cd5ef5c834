#!/bin/sh
# A function in shell, run by `filter`:  command = ["filter", "/bin/sh", "greet.sh"], path = "..."
read -r name
echo "asked for ${Http_Path:-nothing} by ${Http_Method:-an invocation}" >&2
[ -n "$name" ] || exit 3
echo "Hello, $name!"
