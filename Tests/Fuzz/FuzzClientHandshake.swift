// SPDX-License-Identifier: Apache-2.0

/// The client reads an answer. Input: a byte for the sizes of the chunks, a byte for what was offered, the answer to the
/// request with the key of RFC 6455 §1.3.
func fuzzClientHandshake(_ bytes: UnsafeRawBufferPointer) {
  guard bytes.count >= 2 else { return }
  let seed = bytes[0]
  let choice = bytes[1]
  let answer = UnsafeRawBufferPointer(rebasing: bytes[2...])
  let whole = ClientRun(choice: choice)
  whole.feed(answer)
  let cut = ClientRun(choice: choice)
  fuzzChunks(answer, seed: seed) { cut.feed($0) }
  whole.end()
  cut.end()
  whole.check(total: answer.count)
  cut.check(total: answer.count)

  fuzzRequire(whole.atEnd == cut.atEnd, "one run needed the end, the other did not")
  switch (whole.result, cut.result) {
  case (.accepted(let a), .accepted(let b)):
    fuzzRequire(a.subprotocol == b.subprotocol && a.deflate == b.deflate, "two agreements")
    fuzzRequire(fuzzSame(a.headers, b.headers), "two sets of headers")
    fuzzRequire(whole.consumed == cut.consumed, "two ends of the handshake")
  case (.refused(let a), .refused(let b)):
    fuzzRequire(a.status == b.status && a.reason == b.reason && a.body == b.body, "two refusals")
    fuzzRequire(fuzzSame(a.headers, b.headers), "two sets of headers")
  case (.failed(let a), .failed(let b)):
    fuzzRequire(a.kind == b.kind, "two failures")
  default:
    fuzzRequire(false, "two results")
  }
}

private final class ClientRun {
  let parser: UpgradeResponseParser
  let offer: DeflateOffer?
  let subprotocols: [String]
  var result = UpgradeProgress.needMoreBytes
  var consumed = 0
  var atEnd = false

  init(choice: UInt8) {
    var offer = DeflateOffer(
      clientNoContextTakeover: choice & 1 != 0, serverNoContextTakeover: choice & 2 != 0, clientMaxWindowBits: nil)
    if choice & 4 != 0 { offer.clientMaxWindowBits = choice & 8 != 0 ? 0 : 10 }
    if choice & 16 != 0 { offer.serverMaxWindowBits = 12 }
    self.offer = choice & 32 != 0 ? offer : nil
    subprotocols = choice & 64 != 0 ? ["chat", "superchat"] : []
    parser = UpgradeResponseParser(
      key: Array("the sample nonce".utf8), subprotocols: subprotocols, offer: self.offer,
      maxSize: choice & 128 != 0 ? 256 : 64 << 10)
  }

  /// Whether it wants more.
  @discardableResult func feed(_ bytes: UnsafeRawBufferPointer) -> Bool {
    result = parser.receive(bytes)
    if case .needMoreBytes = result {
      consumed += bytes.count
      return true
    }
    if case .accepted(let acceptance) = result { consumed += acceptance.consumed }
    return false
  }

  func end() {
    if case .needMoreBytes = result {
      atEnd = true
      result = parser.finish()
    }
  }

  func check(total: Int) {
    switch result {
    case .needMoreBytes:
      fuzzRequire(false, "no result at the end")
    case .accepted(let acceptance):
      fuzzRequire(!atEnd && consumed <= total, "accepted more than there was")
      if let deflate = acceptance.deflate {
        fuzzRequire(offer != nil, "deflate without an offer")
        fuzzRequire((8...15).contains(deflate.clientMaxWindowBits), "client window")
        fuzzRequire((8...15).contains(deflate.serverMaxWindowBits), "server window")
      }
      if let name = acceptance.subprotocol { fuzzRequire(subprotocols.contains(name), "subprotocol") }
    case .refused(let refusal):
      fuzzRequire(refusal.body.count <= UpgradeRefusal.maxBodySize, "body")
      fuzzRequire((0...999).contains(refusal.status) && refusal.status / 100 != 1, "status")
      for header in refusal.headers {
        for byte in (header.name + header.value).utf8 { fuzzRequire(byte == 9 || (byte >= 32 && byte != 127), "header") }
      }
      fuzzRequirePlain(refusal.text)
      let excerpt = refusal.excerpt(sent: refusal.body, shown: []).bytes + refusal.excerpt(sent: [], shown: []).bytes
      fuzzRequire(excerpt.count <= 320, "excerpt")
      for byte in excerpt { fuzzRequire(byte >= 32 && byte != 127, "excerpt") }
    case .failed(let failure):
      fuzzRequirePlain(failure.text)
    }
  }
}
