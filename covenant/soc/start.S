    .section .start, "ax"
    .globl _start
_start:
    lui sp, %hi(_stack)
    addi sp, sp, %lo(_stack)
    call main
    lui t0, 0x50000
    sw a0, 4(t0)
1:  j 1b

    .section .rodata
    .globl network_image
    .balign 4
network_image:
    .incbin "network.bin"
    .globl network_image_end
network_image_end:
