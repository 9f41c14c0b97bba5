export type Environment = Readonly<Record<string, string | undefined>>

/** The environment variables of the process. No other file of lib/ reads them. */
export function environment(): Environment {
  return process.env
}
