export type Environment = Readonly<Record<string, string | undefined>>

/** The environment variables, where the runtime has them, as Vercel does. Workers have bindings instead. */
export function environment(): Environment {
  const { process } = globalThis as { readonly process?: { readonly env?: Environment } }
  return process?.env ?? {}
}
