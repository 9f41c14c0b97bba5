/** Returns the name that begins each line. */
export function logName(): string {
  return 'videokit'
}

/** Writes a line to the log of the platform. */
export function writeLine(line: string): void {
  // eslint-disable-next-line no-console -- the edge has no standard error.
  console.error(line)
}
