// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// What TLS with the server adds to the way from the socket to the upgrade. The client's lock is held.
extension Connection {
  /// TLS with the server over a stream that leads there.
  func makeTLS(over lower: ByteStream, with context: TLSContext) -> ByteStream {
    let options = client.options
    if !options.verify {
      line.log(.warning) {
        options.pins.isEmpty
          ? "TLS without verification: anyone can read and change the traffic"
          : "TLS without verification: only pin_sha256 protects the traffic"
      }
    }
    // The option stands for the host of the client's own URL.
    let isOwnHost = equal(url.host, endpointURL.host)
    let made = context.makeStream(
      over: lower, host: url.host, port: url.port, serverName: isOwnHost ? options.serverName : nil)
    tls = made
    return made
  }

  /// The handshake is done.
  func tlsIsOpen() {
    guard let tls else { return }
    line.statistics.tlsHandshakes &+= 1
    if tls.isResumed { line.statistics.tlsResumed &+= 1 }
    line.marks.tlsTime = tls.handshakeTime
    line.log(.debug) {
      "\(tls.version) is open after \(seconds: tls.handshakeTime) s\(tls.isResumed ? ", resumed" : "")"
    }
  }
}
