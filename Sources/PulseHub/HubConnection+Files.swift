// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseServe
import PulseText
import PulseTransport
import PulseWire

/// Files beneath a folder.
extension HubConnection {
  func sendFile(_ request: Request, _ folder: HubFolder, rest: Int) {
    switch StaticFiles.relativePath(request.path, rest: rest) {
    case .failure(let refusal): refuse(refusal, to: request)
    case .success(let path): send(path, of: folder, request)
    }
  }

  private func send(_ path: [UInt8], of folder: HubFolder, _ request: Request) {
    let (descriptor, found) = folder.open(path)
    if descriptor < 0 {
      let isBusy = -descriptor == psys_EMFILE || -descriptor == psys_ENFILE
      return refuse(
        isBusy ? .unavailable("the server has no file descriptor left", retryAfter: 1) : StaticFiles.noFile(request.path), to: request)
    }
    guard found.kind == 1 else {
      psys_close(descriptor)
      if found.kind == 2 { return answer(folder.files.redirectToFolder(request), to: request) }
      return refuse(StaticFiles.noFile(request.path), to: request)
    }
    var files = folder.files
    files.headers = hub.commonHeaders(request)
    let facts = FileFacts(size: found.size, modified: found.seconds &* 1_000_000_000 &+ found.nanoseconds, inode: found.inode)
    let keepsAlive = staysOpen(behind: request)
    let made = files.answer(request, relative: path, facts, date: Clock.realtime() / 1_000_000_000, keepsAlive: keepsAlive)
    made.head.withUnsafeBytes { output.append($0) }
    if made.count <= 0 {
      psys_close(descriptor)
      return finishAnswer(keepsAlive)
    }
    conversation?.file = FileTransfer(descriptor, from: made.from, count: made.count)
    conversation?.isAnswering = true
    schedule(.answer, after: hub.options.requestTimeout)
  }

  /// Makes the next piece of a file ready to be written. False if there is none.
  func refillFile() -> Bool {
    guard let conversation, let file = conversation.file else { return false }
    if file.isDone {
      let keepsAlive = staysOpen(behind: conversation.current)
      conversation.file = nil
      conversation.isAnswering = false
      finishAnswer(keepsAlive)
      goOn(conversation)
      return true
    }
    schedule(.answer, after: hub.options.requestTimeout)
    if file.read(into: &output) { return true }
    // The length was promised: what is missing shows as an end before it.
    owner.logProblem("a file became shorter, or can't be read, while it was sent")
    end(.lost)
    return false
  }
}
