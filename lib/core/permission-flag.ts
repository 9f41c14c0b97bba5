const FLAGS = new Map<unknown, string>([
  ['FileSystemRead', '--allow-fs-read'],
  ['FileSystemWrite', '--allow-fs-write'],
  ['Net', '--allow-net'],
])

/**
 * Returns the flag of Node's permission model (`node --permission`) that allows what `error` reports as denied; undefined
 * for any other error.
 *
 * `usual` is the flag for what the caller did: the errors of DNS and sockets do not name their permission.
 */
export function permissionFlag(error: unknown, usual: string): string | undefined {
  try {
    const { code, permission } = error as { readonly code?: unknown; readonly permission?: unknown }
    return code === 'ERR_ACCESS_DENIED' ? (FLAGS.get(permission) ?? usual) : undefined
  } catch {
    // Any value can be thrown, such as null or a revoked proxy.
    return undefined
  }
}
