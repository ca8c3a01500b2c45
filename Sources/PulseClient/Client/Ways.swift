// SPDX-License-Identifier: Apache-2.0
import PulseTransport

/// How a client gets to its servers: the proxies, and TLS with them and with the servers.
package struct Ways {
  var proxies: ProxyRules
  /// nil: the URLs are `ws`.
  var tls: TLSContext?
  /// nil: no proxy is asked over TLS.
  var proxyTLS: TLSContext?
}
