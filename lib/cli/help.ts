const SECRET = `App secret (dashboard: Apps → Your App → API TOKEN)
  Set VKIT_APP_SECRET, or use --secret-file. The secret is not accepted as an argument, and never printed.

  --secret-file <file>   read the app secret from this file; - is standard input
  --base-url <url>       gateway URL (default: VKIT_BASE_URL, else https://gateway.video.io)`

/** The text of --help, for `vkit` and for each command. */
export const HELP = {
  all: `vkit – Video.io session tokens from the command line

Usage
  vkit token <identity>...     mint session tokens, for one user or a million
  vkit emulator                run a local gateway for development, without an account
  vkit doctor                  check the configuration, and suggest fixes

  vkit <command> --help        show the options of a command
  vkit --version               show the version

${SECRET}

Environment
  NO_COLOR                     disable colours

Exit codes
  0  success                          5  the gateway is unreachable or unavailable
  1  some operations failed           6  a file cannot be read or written
  2  usage error                      7  doctor: warnings, no failures
  3  no app secret, or an invalid one 130  interrupted by Ctrl-C or Ctrl-Break (143: SIGTERM, 129: SIGHUP)
  4  the gateway refused the secret   141  the reader of the output closed the pipe`,

  token: `vkit token <identity>... – print one session token per line
vkit token --from <file>  – mint a token for each line of a file; - is standard input

Options
  --scope <scope>        scope of the tokens, such as videos.read; repeatable
  --json                 print one JSON object per line: identity, sessionToken, expiresAt, scopes (implied by --from)
  --from <file>          read identities from this file, one per line
  --column <name>        read them from this column of a CSV, or from this member of JSON lines
  --format <format>      lines, csv or jsonl, if vkit does not recognise the format of the list
  --out <file>           write to this new file, one JSON object per line. Only you can read it;
                         on Windows, it has the permissions of its folder; - is standard output
  --resume               continue the file of --out, and mint only the missing tokens
  --concurrency <n>      the most mints in flight, 1 to 1000 (default: as many as the gateway can handle)
  --on-outage <mode>     wait: wait until the gateway recovers (default with --from); fail: fail immediately
  --max-outage <time>    longest wait in an outage, such as 90s or 10m (default: 10m)
  --no-progress          show no progress bar

${SECRET}

Tokens for identities on the command line are printed in the same order, with an empty line for each failure. With --from
or --json, each token is printed when it is minted. Failures are reported on standard error and left out of the output;
--resume retries them. The exit code is 0 only if nothing failed.`,

  emulator: `vkit emulator – run a local gateway for development, without an account, and a page to watch and steer it

Options
  --port <port>          port of the gateway; 0 is any free port (default: 8787)
  --page-port <port>     port of the page (default: 8788, or any free port if another program uses it)
  --no-page              do not serve the page
  --host <address>       address to listen on (default: 127.0.0.1, which other machines cannot reach)
  --allow-host <name>    host name of this machine in a browser's address bar; repeatable (default: localhost)
  --ttl <time>           lifetime of the tokens, such as 90s, 10m or 1h (default: 1h)
  --fault <fault>        simulate a fault; repeatable; those that apply are combined
  --secret-file <file>   read the accepted app secret from this file (default: VKIT_APP_SECRET, else a new one, printed)
  --quiet                do not log requests

Faults, combined with commas
  503                    respond with this status     delay=800ms     delay the response
  retry-after=2          send this header, in seconds reset           reset the connection
  silence                never respond                expired         mint an expired token
and, at the end, when they apply (default: to every request)
  x3                     to the next three requests   20%             to one request in five

Example
  vkit emulator --fault 429,retry-after=2,x3 --fault 503,10%`,

  doctor: `vkit doctor – check the configuration, and suggest fixes

Options
  --identity <identity>  identity for the one token that it mints (default: vkit-doctor)
  --no-mint              do not mint a token
  --store <module>       also test a shared store; the default export is the store, or a function that creates it
  --json                 print the results as JSON

${SECRET}

Checks: Node version, proxy and debug variables, secret (never its value), DNS, TLS, gateway, clock, one mint, store (records, leases, messages).
Exit code: 0 no problems, 7 warnings, 1 failures.`,
} as const
