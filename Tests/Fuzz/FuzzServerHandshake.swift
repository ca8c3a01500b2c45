// SPDX-License-Identifier: Apache-2.0

/// The server reads a request, and a client reads what the server answers. Input: a byte for the sizes of the chunks, a
/// byte for the server's policy, the request.
func fuzzServerHandshake(_ bytes: UnsafeRawBufferPointer) {
  guard bytes.count >= 2 else { return }
  let seed = bytes[0]
  let choice = bytes[1]
  let request = UnsafeRawBufferPointer(rebasing: bytes[2...])
  let maxSize = choice & 128 != 0 ? 256 : 64 << 10
  let whole = UpgradeRequestParser(maxSize: maxSize).receive(request)
  let parser = UpgradeRequestParser(maxSize: maxSize)
  var cut = UpgradeRequestProgress.needMoreBytes
  var before = 0
  var consumed = 0
  fuzzChunks(request, seed: seed) { chunk in
    cut = parser.receive(chunk)
    if case .needMoreBytes = cut {
      before += chunk.count
      return true
    }
    if case .request(let info) = cut { consumed = before + info.consumed }
    return false
  }

  switch (whole, cut) {
  case (.needMoreBytes, .needMoreBytes):
    break
  case (.request(let a), .request(let b)):
    fuzzRequire(a.consumed == consumed && consumed <= request.count, "two ends of the handshake")
    fuzzRequire(a.target == b.target && a.host == b.host && a.accept == b.accept, "two requests")
    fuzzRequire(a.subprotocols == b.subprotocols && a.deflateOffers == b.deflateOffers, "two offers")
    fuzzRequire(fuzzSame(a.headers, b.headers), "two sets of headers")
    answer(a, choice)
  case (.failed(let a), .failed(let b)):
    fuzzRequire(a.status == b.status, "two failures")
    fuzzRequirePlain(a.text)
    fuzzRequirePlain(b.text)
    refuse(a)
  default:
    fuzzRequire(false, "two results")
  }
}

private func answer(_ info: UpgradeRequestInfo, _ choice: UInt8) {
  var policy = DeflatePolicy()
  policy.clientNoContextTakeover = choice & 1 != 0
  policy.serverNoContextTakeover = choice & 2 != 0
  policy.clientMaxWindowBits = choice & 4 != 0 ? 10 : 15
  policy.serverMaxWindowBits = choice & 8 != 0 ? 10 : 15
  let agreed = negotiateDeflate(offers: info.deflateOffers, policy: policy)
  let name = info.subprotocols.last
  guard case .success(let bytes) = UpgradeResponse.accept(info, subprotocol: name, deflateAnswer: agreed?.answer) else {
    return fuzzRequire(false, "an answer can't be built")
  }
  guard let header = info.headers.first(where: { $0.name.lowercased() == "sec-websocket-key" }),
    let key = Base64.decode(Array(header.value.utf8))
  else { return fuzzRequire(false, "accepted without a key") }
  // The client sends the key in its canonical form; another one leads to another answer.
  if Base64.encode(key) != Array(header.value.utf8) { return }

  // One of the offers has to be what the answer answers.
  var offers: [DeflateOffer?] = info.deflateOffers
  if agreed == nil { offers.append(nil) }
  let isAccepted = offers.contains { offer in
    let client = UpgradeResponseParser(key: key, subprotocols: info.subprotocols, offer: offer)
    guard case .accepted(let acceptance) = bytes.withUnsafeBytes({ client.receive($0) }) else { return false }
    return acceptance.consumed == bytes.count && acceptance.subprotocol == name
      && (acceptance.deflate == nil) == (agreed == nil)
  }
  fuzzRequire(isAccepted, "the client does not accept the answer")
}

private func refuse(_ failure: UpgradeRequestFailure) {
  guard let bytes = UpgradeResponse.reject(failure) else {
    return fuzzRequire(failure.status == 0, "no answer to HTTP")
  }
  let client = UpgradeResponseParser(key: [UInt8](repeating: 0, count: 16), subprotocols: [], offer: nil)
  guard case .refused(let refusal) = bytes.withUnsafeBytes({ client.receive($0) }) else {
    return fuzzRequire(false, "the client does not see the refusal")
  }
  fuzzRequire(refusal.status == failure.status && refusal.body.count == failure.text.utf8.count + 1, "another refusal")
}
