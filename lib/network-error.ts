import { sanitizeCause, VKitConnectionError, VKitResponseError, type VKitError } from './errors.js'

/** OpenSSL's names for what is wrong with a certificate, and Node's and OpenSSL's for a failed handshake. */
const TLS_CODE =
  /CERT|CRL|SELF_SIGNED|UNABLE_TO_|^ERR_TLS_|^ERR_SSL_|^EPROTO$|^INVALID_(?:CA|PURPOSE)$|^HOSTNAME_|^PATH_/

/** The typed error for what Node reports of a connection; nothing of the original but its code is kept. */
export function networkError(error: unknown): VKitError {
  const cause = sanitizeCause(error)
  const code = cause?.code ?? 'no code'
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new VKitResponseError('The gateway answered with more than 16 KiB of headers.', { cause })
  }
  // An end that comes too early is the network's fault; all else that the parser objects to is the answer's.
  if (code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE') {
    return new VKitResponseError(`The gateway's answer is not valid HTTP (${code}).`, { cause })
  }
  if (TLS_CODE.test(code)) {
    return new VKitConnectionError(`No secure connection to the gateway could be made (${code}).`, {
      code: 'VKIT_TLS',
      cause,
    })
  }
  return new VKitConnectionError(`The connection to the gateway failed (${code}).`, { cause })
}
