// SPDX-License-Identifier: Apache-2.0
import PulseText

/// How far the server's handshake is.
package enum UpgradeRequestProgress {
  /// The whole chunk is used.
  case needMoreBytes
  case request(UpgradeRequestInfo)
  case failed(UpgradeRequestFailure)
}

/// A valid request for an upgrade.
package struct UpgradeRequestInfo: Sendable {
  /// Path and query; of a target with scheme and host only these.
  package var target: String
  package var host: String
  package var headers: [HTTPHeader]
  /// In the order of the client's preference.
  package var subprotocols: [String]
  /// Those that are valid, in the order of the client's preference.
  package var deflateOffers: [DeflateOffer]
  /// The value of Sec-WebSocket-Accept.
  package var accept: String
  /// How many bytes of the chunk that completed the request belong to it; the rest are frames.
  package var consumed: Int
}

package struct UpgradeRequestFailure: Sendable {
  /// What to answer; 0 when the peer does not speak HTTP/1, so that the connection is to be closed without an answer.
  package var status: Int
  /// Headers that belong to that status.
  package var headers: [HTTPHeader] = []
  /// One sentence, without control characters.
  package var text: String
}

/// The server's half of the handshake: reads the client's request (RFC 6455 §4.2.1) as it arrives. Not thread safe.
package final class UpgradeRequestParser {
  private var parser: HTTPHeadParser
  private var result: UpgradeRequestProgress?

  package init(maxSize: Int = 64 << 10) { parser = HTTPHeadParser(.request, maxSize: maxSize) }

  /// The end is final: later calls return it again, without looking at the bytes.
  package func receive(_ bytes: UnsafeRawBufferPointer) -> UpgradeRequestProgress {
    if let result { return result }
    var offset = 0
    switch parser.receive(bytes, from: &offset) {
    case .needMoreBytes:
      return .needMoreBytes
    case .failed(let failure):
      return end(.failed(UpgradeRequestFailure(status: failure.status, text: sentence(failure.text))))
    case .complete:
      switch UpgradeRequestInfo.judge(parser.head) {
      case .success(var info):
        info.consumed = offset
        return end(.request(info))
      case .failure(let failure):
        return end(.failed(failure))
      }
    }
  }

  private func end(_ progress: UpgradeRequestProgress) -> UpgradeRequestProgress {
    if case .request(var info) = progress {
      info.consumed = 0
      result = .request(info)
    } else {
      result = progress
    }
    parser = HTTPHeadParser(.request, maxSize: 0)
    return progress
  }
}

extension UpgradeRequestFailure: Error {}
