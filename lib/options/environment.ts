export type Environment = Readonly<Record<string, string | undefined>>

/** The environment variables of the process. Nothing else in lib/ reads them. */
export function environment(): Environment {
  return process.env
}
