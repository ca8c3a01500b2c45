// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// What a route for WebSocket speaks.
package struct UpgradeTerms {
  /// In the order of the server's preference.
  package var subprotocols: [String] = []
  /// Clients without one of them are refused.
  package var requiresSubprotocol = false
  /// nil: no compression. Whatever it says, each message is compressed by itself, and with a window of 2^15 bytes, so
  /// that one compressed frame fits every client; those that can't take that get none.
  package var compression: DeflatePolicy? = DeflatePolicy()
  /// Of the answer, behind those of the handshake.
  package var headers: [HTTPHeader] = []

  package init() {}
}

/// The end of a handshake.
package enum UpgradeVerdict {
  case accepted(UpgradeAnswer)
  case refused(Refusal)

  /// Decides on a request whose path and rights are settled.
  @inline(never) package static func decide(_ offer: UpgradeOffer, _ terms: UpgradeTerms) -> UpgradeVerdict {
    var chosen: Int?
    for index in terms.subprotocols.indices where chosen == nil {
      let name = terms.subprotocols[index].bytes
      for offered in offer.subprotocols where HTTPText.same(name[...], offered) { chosen = index }
    }
    if chosen == nil, let refusal = refusal(offer, terms) { return .refused(refusal) }

    var agreed: (parameters: DeflateParameters, answer: String)?
    if var policy = terms.compression {
      policy.serverNoContextTakeover = true
      policy.serverMaxWindowBits = 15
      policy.leastServerWindowBits = 15
      agreed = negotiateDeflate(offers: offer.info.deflateOffers, policy: policy)
    }
    let name = chosen.map { terms.subprotocols[$0] }
    switch UpgradeResponse.accept(offer.info, subprotocol: name, deflateAnswer: agreed?.answer, headers: terms.headers) {
    case .success(let bytes):
      return .accepted(UpgradeAnswer(bytes: bytes, subprotocol: chosen, deflate: agreed?.parameters))
    case .failure(let failure):
      // The owner's headers are at fault.
      return .refused(Refusal(500, "internal_error", "the server can't answer: \(failure.text)", closes: true))
    }
  }

  /// Browsers end a connection on which they offered subprotocols and got none: better to say why.
  private static func refusal(_ offer: UpgradeOffer, _ terms: UpgradeTerms) -> Refusal? {
    var known: Sentence = ""
    for name in terms.subprotocols {
      if !known.bytes.isEmpty { known.add(", ") }
      known.add("\(quoted: name.bytes[...])")
    }
    if terms.subprotocols.isEmpty { return nil }
    if !offer.subprotocols.isEmpty {
      return Refusal(
        400, "no_common_subprotocol", "none of the subprotocols offered is spoken here; spoken are: \(known)", closes: true)
    }
    if terms.requiresSubprotocol {
      return Refusal(400, "subprotocol_required", "the path wants a subprotocol: \(known)", closes: true)
    }
    return nil
  }
}

/// A 101 and what it agrees to.
package struct UpgradeAnswer {
  package let bytes: [UInt8]
  /// The place in the terms.
  package let subprotocol: Int?
  package let deflate: DeflateParameters?
}
