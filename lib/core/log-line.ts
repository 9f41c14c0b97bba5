import { writeSync } from 'node:fs'

/** Returns the name that begins each line of this process. */
export function logName(): string {
  return `videokit[${process.pid}]`
}

/** Writes a line to standard error. A failure, such as a full pipe, is ignored: a call never fails because of its log. */
export function writeLine(line: string): void {
  try {
    // Not `process.stderr`, which emits a later error, such as EPIPE, that ends the process.
    writeSync(2, `${line}\n`)
  } catch {
    // The line is lost.
  }
}
