// Loaded into a process with `--import`: writes what the process has used to its file descriptor 3, at its end.
import { writeSync } from 'node:fs'

process.once('exit', () => writeSync(3, JSON.stringify(process.resourceUsage())))
