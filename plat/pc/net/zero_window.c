/* SPDX-License-Identifier: MIT */
/*
 * lwIP answers an empty segment that arrives while its window is closed, although such a segment
 * with the expected number is in order (RFC 9293, 3.10.7.4). When both ends have closed their
 * windows and one has probed the other, each answers the other's answer, as fast as they can. So
 * segments that tell nothing new to a closed window are taken out here.
 */
#include "lib/types.h"
#include "lwip/priv/tcp_priv.h"
#include "plat/pc/net/hooks.h"

static bool tells_nothing(const struct tcp_pcb *pcb, const struct tcp_hdr *h,
                          const struct pbuf *p) {
  return p->tot_len == 0 && TCPH_FLAGS(h) == TCP_ACK && h->seqno == pcb->rcv_nxt &&
         h->ackno == pcb->lastack && (u32)SND_WND_SCALE(pcb, h->wnd) == pcb->snd_wnd;
}

int net_tcp_segment(struct tcp_pcb *pcb, const struct tcp_hdr *h, const struct pbuf *p) {
  if (pcb->state < ESTABLISHED || pcb->state == TIME_WAIT || pcb->rcv_wnd || pcb->unacked ||
      !tells_nothing(pcb, h, p))
    return ERR_OK;
  pcb->tmr = tcp_ticks; /* the peer lives */
  pcb->keep_cnt_sent = 0;
  pcb->persist_probe = 0;
  return ERR_VAL;
}
