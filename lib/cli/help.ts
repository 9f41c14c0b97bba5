const SECRET = `The app secret (dashboard: Apps → Your App → API TOKEN) comes from VKIT_APP_SECRET, or:
  --secret-file <file>   a file that holds it and nothing else; - is standard input
  --base-url <url>       the gateway; default VKIT_BASE_URL, else https://gateway.video.io
It is never an argument, and never printed.`

/** What --help says. */
export const HELP = {
  all: `vkit – session tokens of Video.io from the command line

  vkit token <identity>...     mint a token for one user, or for a million
  vkit emulator                a local gateway, to develop without an account
  vkit doctor                  check the set-up, and say what to do

  vkit <command> --help        what a command takes
  vkit --version

${SECRET}

Colour is left out where NO_COLOR is set.

Exit codes
  0  done                             5  the gateway cannot be reached, or not now
  1  some of it failed                6  a file cannot be read or written
  2  not understood                   7  doctor: warnings, and nothing worse
  3  no secret, or a bad one        130  interrupted by Ctrl-C (143 by SIGTERM, 129 by SIGHUP)
  4  the gateway refuses the secret 141  nobody reads the output any longer`,

  token: `vkit token <identity>... – prints the session token of each, a line each, and nothing else
vkit token --from <file>  – mints one for each line of a file; - is standard input

  --scope <scope>        what the token allows, as videos.read; may be given more than once
  --json                 one JSON object a line: identity, sessionToken, expiresAt, scopes (always so with --from)
  --from <file>          identities, one a line
  --out <file>           writes there, one JSON object a line, readable by you alone; must not exist yet
  --resume               goes on with the file of --out: mints only what it does not have
  --concurrency <n>      mints under way at a time, 1 to 1000; default 16
  --on-outage <mode>     wait: wait until the gateway answers again (with --from); fail: fail at once
  --max-outage <time>    the longest such wait, as 90s or 10m; default 10m

${SECRET}

Where several identities are named, the tokens come in their order, with an empty line for one that failed. With --from
and --json they come as they are minted. What failed is told on standard error, is not in the output, and is tried
again by --resume. The exit code is 0 only if nothing failed.`,

  emulator: `vkit emulator – a gateway on this machine, to develop without an account

  --port <port>          default 8787; 0 is any free one
  --ttl <time>           how long its tokens are valid, as 90s, 10m or 1h; default 1h
  --fault <fault>        what goes wrong; may be given more than once, the first that applies is met
  --secret-file <file>   the app secret that it accepts (also VKIT_APP_SECRET); default: one of its own, printed
  --quiet                no request log

A fault is one or more of these, with commas between them:
  503                    that status                  delay=800ms     late
  retry-after=2          that header, in seconds      reset           the connection is reset
  silence                no answer ever               expired         a token that has expired
and, at the end, when:
  x3                     the next three requests      20%             one request in five
                         (neither: every request)

  vkit emulator --fault 429,retry-after=2,x3 --fault 503,10%`,

  doctor: `vkit doctor – checks the set-up, and says what to do

  --identity <identity>  for whom it mints its one token; default vkit-doctor
  --no-mint              mints none
  --store <module>       a module whose default export is your shared store, or a function that makes it: tries it
  --json                 the checks as JSON

${SECRET}

It looks at Node, the secret (its kind, never its value), proxy and debug variables, DNS, TLS, the gateway, the clock,
one mint, and the store. Exit code: 0 all is well, 7 warnings, 1 something is broken.`,
} as const
