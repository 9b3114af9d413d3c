	.file	"<string>"
	.section	.rodata.cst4,"aM",@progbits,4
	.p2align	2, 0x0
.LCPI0_0:
	.long	0x7fffffff
.LCPI0_1:
	.long	0x58800000
.LCPI0_6:
	.long	0x66000000
.LCPI0_9:
	.long	0x72800000
.LCPI0_13:
	.long	1
.LCPI0_24:
	.long	2
	.section	.rodata.cst8,"aM",@progbits,8
	.p2align	3, 0x0
.LCPI0_2:
	.quad	0xbe31b1bbead603d9
.LCPI0_3:
	.quad	0x3fe45f306dc9c883
.LCPI0_4:
	.quad	0x3ad5f47d4d377037
.LCPI0_5:
	.quad	0xbc86b01ec5417056
.LCPI0_7:
	.quad	0x3c94a7f09d5f47d5
.LCPI0_8:
	.quad	0xb926447e493ad4ce
.LCPI0_10:
	.quad	0xbae505c1596447e5
.LCPI0_11:
	.quad	0x378b14acc9e21c82
.LCPI0_12:
	.quad	0x4338000000000000
.LCPI0_14:
	.quad	0xbf732be8cadbb81b
.LCPI0_15:
	.quad	0x3f2491d6be75660b
.LCPI0_16:
	.quad	0x3fb466b98b66d84f
.LCPI0_17:
	.quad	0xbfe4abbce198cb16
.LCPI0_18:
	.quad	0x3ff921fb543f7eb3
.LCPI0_19:
	.quad	0xbf955b126b3500ff
.LCPI0_20:
	.quad	0x3f4d52d31854ab11
.LCPI0_21:
	.quad	0x3fd03c1a58e8dc14
.LCPI0_22:
	.quad	0xbff3bd3cbce5fc51
.LCPI0_23:
	.quad	0x3ff0000000000000
	.text
	.p2align	4
	.type	fk_53fad6d1ce22.range,@function
fk_53fad6d1ce22.range:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%rbx
	andq	$-64, %rsp
	subq	$640, %rsp
	.cfi_offset %rbx, -56
	.cfi_offset %r12, -48
	.cfi_offset %r13, -40
	.cfi_offset %r14, -32
	.cfi_offset %r15, -24
	vbroadcastsd	.LCPI0_12(%rip), %zmm13
	vbroadcastsd	.LCPI0_15(%rip), %zmm15
	vbroadcastsd	.LCPI0_18(%rip), %zmm18
	vbroadcastsd	.LCPI0_19(%rip), %zmm19
	vbroadcastsd	.LCPI0_20(%rip), %zmm8
	vbroadcastsd	.LCPI0_21(%rip), %zmm21
	vbroadcastsd	.LCPI0_22(%rip), %zmm22
	vbroadcastsd	.LCPI0_23(%rip), %zmm25
	vbroadcastsd	.LCPI0_11(%rip), %zmm17
	vpbroadcastd	.LCPI0_13(%rip), %zmm24
	vpbroadcastd	.LCPI0_24(%rip), %zmm26
	movq	16(%rbp), %rbx
	movq	(%rdi), %rax
	movl	$32, %r11d
	leaq	(,%r9,4), %rdi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovaps	%zmm0, 256(%rsp)
	vmovaps	%zmm0, 192(%rsp)
	vmovaps	%zmm0, 128(%rsp)
	vmovaps	%zmm0, 64(%rsp)
	movq	%r9, 56(%rsp)
	movq	%r9, %r13
	subl	%ebx, %r11d
	subq	%r9, %rbx
	.p2align	4
.LBB0_1:
	cmpq	$32, %rbx
	jb	.LBB0_3
	leaq	(%rsi,%rdi), %r10
	leaq	(%rdx,%rdi), %r15
	leaq	(%rcx,%rdi), %r14
	leaq	(%r8,%rdi), %r12
	jmp	.LBB0_4
	.p2align	4
.LBB0_3:
	leal	(%r11,%r13), %r10d
	movl	$-1, %r9d
	leaq	64(%rsp), %r15
	leaq	448(%rsp), %r14
	leaq	320(%rsp), %r12
	shrxl	%r10d, %r9d, %r10d
	kmovd	%r10d, %k1
	leaq	192(%rsp), %r10
	kshiftrd	$16, %k1, %k2
	vmovups	(%rsi,%rdi), %zmm0 {%k1} {z}
	vmovups	64(%rsi,%rdi), %zmm1 {%k2} {z}
	vmovaps	%zmm0, 192(%rsp)
	vmovaps	%zmm1, 256(%rsp)
	vmovups	(%rdx,%rdi), %zmm0 {%k1} {z}
	vmovups	64(%rdx,%rdi), %zmm1 {%k2} {z}
	vmovaps	%zmm1, 128(%rsp)
	vmovaps	%zmm0, 64(%rsp)
.LBB0_4:
	vmovups	(%r10), %zmm28
	vbroadcastss	.LCPI0_0(%rip), %zmm0
	vmovups	64(%r10), %zmm27
	vbroadcastss	.LCPI0_1(%rip), %zmm3
	vbroadcastsd	.LCPI0_2(%rip), %zmm4
	vbroadcastsd	.LCPI0_3(%rip), %zmm6
	vbroadcastsd	.LCPI0_4(%rip), %zmm12
	vbroadcastsd	.LCPI0_5(%rip), %zmm14
	vbroadcastss	.LCPI0_6(%rip), %zmm23
	vbroadcastsd	.LCPI0_8(%rip), %zmm16
	vcvtps2pd	(%r10), %zmm10
	vcvtps2pd	32(%r10), %zmm5
	vcvtps2pd	96(%r10), %zmm2
	vcvtps2pd	64(%r10), %zmm1
	cmpq	$32, %rbx
	setb	%r10b
	cmpq	$6291456, %rax
	setb	%r9b
	testb	$63, %r14b
	vandps	%zmm0, %zmm28, %zmm11
	vandps	%zmm0, %zmm27, %zmm9
	vcmpleps	%zmm11, %zmm3, %k3
	vcmpleps	%zmm9, %zmm3, %k1
	vcmpleps	%zmm11, %zmm23, %k5
	kshiftrw	$8, %k1, %k2
	kshiftrw	$8, %k3, %k4
	vblendmpd	%zmm4, %zmm6, %zmm0 {%k1}
	vblendmpd	%zmm4, %zmm6, %zmm7 {%k3}
	kshiftrw	$8, %k5, %k6
	vblendmpd	%zmm4, %zmm6, %zmm3 {%k2}
	vblendmpd	%zmm4, %zmm6, %zmm20 {%k4}
	vblendmpd	%zmm12, %zmm14, %zmm4 {%k3}
	vcmpleps	%zmm9, %zmm23, %k3
	vbroadcastsd	.LCPI0_7(%rip), %zmm23
	vblendmpd	%zmm12, %zmm14, %zmm6 {%k4}
	vmovapd	%zmm16, %zmm6 {%k6}
	vmovapd	%zmm16, %zmm4 {%k5}
	kshiftrw	$8, %k3, %k4
	vmovapd	%zmm23, %zmm20 {%k6}
	vmovapd	%zmm23, %zmm7 {%k5}
	vmovapd	%zmm23, %zmm3 {%k4}
	vmovapd	%zmm23, %zmm0 {%k3}
	vbroadcastss	.LCPI0_9(%rip), %zmm23
	vcmpleps	%zmm11, %zmm23, %k6
	vbroadcastsd	.LCPI0_10(%rip), %zmm11
	vcmpleps	%zmm9, %zmm23, %k5
	vmovapd	%zmm17, %zmm4 {%k6}
	vmovapd	%zmm11, %zmm7 {%k6}
	kshiftrw	$8, %k6, %k6
	vmovapd	%zmm11, %zmm0 {%k5}
	vmulpd	%zmm0, %zmm1, %zmm29
	vmovapd	%zmm11, %zmm20 {%k6}
	vmovapd	%zmm17, %zmm6 {%k6}
	kshiftrw	$8, %k5, %k6
	vmulpd	%zmm20, %zmm5, %zmm9
	vmovapd	%zmm11, %zmm3 {%k6}
	vmulpd	%zmm7, %zmm10, %zmm11
	vmulpd	%zmm3, %zmm2, %zmm23
	vaddpd	%zmm13, %zmm29, %zmm31
	vfmsub213pd	%zmm29, %zmm1, %zmm0
	vfmsub213pd	%zmm9, %zmm5, %zmm20
	vaddpd	%zmm13, %zmm9, %zmm30
	vfmsub213pd	%zmm11, %zmm10, %zmm7
	vfmsub213pd	%zmm23, %zmm2, %zmm3
	vfmadd231pd	%zmm6, %zmm5, %zmm20
	vaddpd	%zmm13, %zmm11, %zmm5
	vaddpd	%zmm13, %zmm23, %zmm6
	vfmadd231pd	%zmm4, %zmm10, %zmm7
	vsubpd	%zmm13, %zmm30, %zmm4
	vsubpd	%zmm13, %zmm6, %zmm10
	vsubpd	%zmm4, %zmm9, %zmm4
	vsubpd	%zmm13, %zmm5, %zmm9
	vaddpd	%zmm20, %zmm4, %zmm4
	vblendmpd	%zmm12, %zmm14, %zmm20 {%k2}
	vsubpd	%zmm9, %zmm11, %zmm9
	vsubpd	%zmm10, %zmm23, %zmm11
	vsubpd	%zmm13, %zmm31, %zmm10
	vmovapd	%zmm16, %zmm20 {%k4}
	vmovapd	%zmm17, %zmm20 {%k6}
	vfmadd231pd	%zmm20, %zmm2, %zmm3
	vmovapd	%zmm15, %zmm20
	vsubpd	%zmm10, %zmm29, %zmm23
	vblendmpd	%zmm12, %zmm14, %zmm29 {%k1}
	vbroadcastsd	.LCPI0_14(%rip), %zmm12
	vbroadcastsd	.LCPI0_16(%rip), %zmm14
	vaddpd	%zmm7, %zmm9, %zmm10
	vmovapd	%zmm16, %zmm29 {%k3}
	vmovapd	%zmm17, %zmm29 {%k5}
	vfmadd231pd	%zmm29, %zmm1, %zmm0
	vpmovqd	%zmm31, %ymm1
	vbroadcastsd	.LCPI0_17(%rip), %zmm16
	vaddpd	%zmm3, %zmm11, %zmm2
	vpmovqd	%zmm6, %ymm3
	vmulpd	%zmm10, %zmm10, %zmm6
	vaddpd	%zmm0, %zmm23, %zmm0
	vmovapd	%zmm15, %zmm23
	vmulpd	%zmm2, %zmm2, %zmm9
	vinserti64x4	$1, %ymm3, %zmm1, %zmm29
	vpmovqd	%zmm5, %ymm1
	vpmovqd	%zmm30, %ymm3
	vmulpd	%zmm4, %zmm4, %zmm5
	vmulpd	%zmm0, %zmm0, %zmm11
	vfmadd213pd	%zmm12, %zmm6, %zmm23
	vfmadd213pd	%zmm12, %zmm9, %zmm20
	vinserti64x4	$1, %ymm3, %zmm1, %zmm30
	vpternlogd	$255, %zmm3, %zmm3, %zmm3
	vpsubd	%zmm3, %zmm30, %zmm1
	vpsubd	%zmm3, %zmm29, %zmm7
	vmovapd	%zmm15, %zmm3
	vfmadd213pd	%zmm12, %zmm11, %zmm3
	vfmadd213pd	%zmm14, %zmm6, %zmm23
	vfmadd213pd	%zmm14, %zmm9, %zmm20
	vptestmd	%zmm24, %zmm7, %k1
	vptestmd	%zmm24, %zmm1, %k2
	vpandd	%zmm26, %zmm7, %zmm7
	vpandd	%zmm26, %zmm1, %zmm1
	kshiftrw	$8, %k2, %k3
	vpslld	$30, %zmm7, %zmm7
	vpslld	$30, %zmm1, %zmm1
	vfmadd213pd	%zmm14, %zmm11, %zmm3
	vfmadd213pd	%zmm16, %zmm6, %zmm23
	vfmadd213pd	%zmm16, %zmm9, %zmm20
	vfmadd213pd	%zmm16, %zmm11, %zmm3
	vfmadd213pd	%zmm18, %zmm6, %zmm23
	vfmadd213pd	%zmm18, %zmm9, %zmm20
	vfmadd213pd	%zmm18, %zmm11, %zmm3
	vmulpd	%zmm20, %zmm2, %zmm2
	vmovapd	%zmm8, %zmm20
	vfmadd213pd	%zmm19, %zmm5, %zmm20
	vmulpd	%zmm3, %zmm0, %zmm31
	vmovapd	%zmm15, %zmm3
	vfmadd213pd	%zmm12, %zmm5, %zmm3
	vmulpd	%zmm23, %zmm10, %zmm0
	vmovapd	%zmm8, %zmm23
	vfmadd213pd	%zmm19, %zmm11, %zmm23
	vfmadd213pd	%zmm21, %zmm5, %zmm20
	vfmadd213pd	%zmm14, %zmm5, %zmm3
	vfmadd213pd	%zmm21, %zmm11, %zmm23
	vfmadd213pd	%zmm22, %zmm5, %zmm20
	vfmadd213pd	%zmm16, %zmm5, %zmm3
	vfmadd213pd	%zmm22, %zmm11, %zmm23
	vfmadd213pd	%zmm25, %zmm5, %zmm20
	vfmadd213pd	%zmm18, %zmm5, %zmm3
	vfmadd213pd	%zmm25, %zmm11, %zmm23
	vmulpd	%zmm3, %zmm4, %zmm10
	vmovapd	%zmm8, %zmm4
	vfmadd213pd	%zmm19, %zmm9, %zmm4
	vmovapd	%zmm8, %zmm3
	vfmadd213pd	%zmm19, %zmm6, %zmm3
	vblendmpd	%zmm23, %zmm31, %zmm5 {%k1}
	kshiftrw	$8, %k1, %k1
	vcvtpd2ps	%zmm5, %ymm5
	vfmadd213pd	%zmm21, %zmm9, %zmm4
	vfmadd213pd	%zmm21, %zmm6, %zmm3
	vfmadd213pd	%zmm22, %zmm9, %zmm4
	vfmadd213pd	%zmm22, %zmm6, %zmm3
	vfmadd213pd	%zmm25, %zmm9, %zmm4
	vfmadd213pd	%zmm25, %zmm6, %zmm3
	vblendmpd	%zmm4, %zmm2, %zmm6 {%k1}
	vblendmpd	%zmm3, %zmm0, %zmm9 {%k2}
	vcvtpd2ps	%zmm6, %ymm6
	vinserti64x4	$1, %ymm6, %zmm5, %zmm5
	vcvtpd2ps	%zmm9, %ymm6
	vblendmpd	%zmm20, %zmm10, %zmm9 {%k3}
	vcvtpd2ps	%zmm9, %ymm9
	vpxord	%zmm7, %zmm5, %zmm7
	vmovups	(%r15), %zmm5
	vinserti64x4	$1, %ymm9, %zmm6, %zmm6
	vpxord	%zmm1, %zmm6, %zmm9
	vmovups	64(%r15), %zmm1
	setne	%r15b
	orb	%r10b, %r9b
	orb	%r15b, %r9b
	vmulps	%zmm7, %zmm1, %zmm6
	vmulps	%zmm9, %zmm5, %zmm7
	jne	.LBB0_6
	vmovntps	%zmm7, (%r14)
	vmovntps	%zmm6, 64(%r14)
	jmp	.LBB0_7
	.p2align	4
.LBB0_6:
	vmovups	%zmm7, (%r14)
	vmovups	%zmm6, 64(%r14)
.LBB0_7:
	vptestmd	%zmm24, %zmm29, %k3
	vptestmd	%zmm24, %zmm30, %k5
	vxorps	%xmm6, %xmm6, %xmm6
	vcmpeqps	%zmm6, %zmm27, %k1
	vcmpeqps	%zmm6, %zmm28, %k2
	vpandd	%zmm26, %zmm30, %zmm6
	cmpq	$32, %rbx
	vmovapd	%zmm3, %zmm0 {%k5}
	kshiftrw	$8, %k3, %k4
	kshiftrw	$8, %k5, %k5
	vcvtpd2ps	%zmm0, %ymm0
	vmovapd	%zmm23, %zmm31 {%k3}
	setb	%r9b
	cmpq	$6291456, %rax
	vmovapd	%zmm4, %zmm2 {%k4}
	vmovapd	%zmm20, %zmm10 {%k5}
	vcvtpd2ps	%zmm10, %ymm3
	vcvtpd2ps	%zmm31, %ymm4
	vcvtpd2ps	%zmm2, %ymm2
	setb	%r10b
	testb	$63, %r12b
	setne	%r14b
	orb	%r9b, %r10b
	orb	%r14b, %r10b
	vinserti64x4	$1, %ymm3, %zmm0, %zmm0
	vpandd	%zmm26, %zmm29, %zmm3
	vinserti64x4	$1, %ymm2, %zmm4, %zmm2
	vpslld	$30, %zmm6, %zmm4
	vpslld	$30, %zmm3, %zmm3
	vpxord	%zmm4, %zmm0, %zmm4
	vpxord	%zmm3, %zmm2, %zmm0
	vmovaps	%zmm27, %zmm0 {%k1}
	vmovaps	%zmm28, %zmm4 {%k2}
	vmulps	%zmm0, %zmm1, %zmm0
	vmulps	%zmm4, %zmm5, %zmm1
	jne	.LBB0_9
	vmovntps	%zmm1, (%r12)
	vmovntps	%zmm0, 64(%r12)
	cmpq	$32, %rbx
	jae	.LBB0_11
	jmp	.LBB0_12
	.p2align	4
.LBB0_9:
	vmovups	%zmm1, (%r12)
	vmovups	%zmm0, 64(%r12)
	cmpq	$32, %rbx
	jb	.LBB0_12
.LBB0_11:
	addq	$32, %r13
	subq	$-128, %r8
	subq	$-128, %rcx
	subq	$-128, %rdx
	subq	$-128, %rsi
	addq	$-32, %rbx
	cmpq	16(%rbp), %r13
	jb	.LBB0_1
	cmpq	$6291456, %rax
	jb	.LBB0_15
.LBB0_14:
	lock		orl	$0, -64(%rsp)
.LBB0_15:
	xorl	%eax, %eax
	leaq	-40(%rbp), %rsp
	popq	%rbx
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	popq	%rbp
	.cfi_def_cfa %rsp, 8
	vzeroupper
	retq
.LBB0_12:
	.cfi_def_cfa %rbp, 16
	movq	16(%rbp), %rdx
	vmovaps	448(%rsp), %zmm0
	vmovaps	512(%rsp), %zmm1
	subl	%edx, %r13d
	movl	$-1, %edx
	shrxl	%r13d, %edx, %edx
	kmovd	%edx, %k1
	movq	56(%rsp), %rdx
	kshiftrd	$16, %k1, %k2
	vmovups	%zmm0, (%rcx,%rdx,4) {%k1}
	vmovups	%zmm1, 64(%rcx,%rdx,4) {%k2}
	vmovaps	320(%rsp), %zmm0
	vmovaps	384(%rsp), %zmm1
	vmovups	%zmm1, 64(%r8,%rdx,4) {%k2}
	vmovups	%zmm0, (%r8,%rdx,4) {%k1}
	cmpq	$6291456, %rax
	jae	.LBB0_14
	jmp	.LBB0_15
.Lfunc_end0:
	.size	fk_53fad6d1ce22.range, .Lfunc_end0-fk_53fad6d1ce22.range
	.cfi_endproc

	.globl	fk_53fad6d1ce22
	.p2align	4
	.type	fk_53fad6d1ce22,@function
fk_53fad6d1ce22:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	pushq	%r15
	.cfi_def_cfa_offset 24
	pushq	%r14
	.cfi_def_cfa_offset 32
	pushq	%r13
	.cfi_def_cfa_offset 40
	pushq	%r12
	.cfi_def_cfa_offset 48
	pushq	%rbx
	.cfi_def_cfa_offset 56
	subq	$72, %rsp
	.cfi_def_cfa_offset 128
	.cfi_offset %rbx, -56
	.cfi_offset %r12, -48
	.cfi_offset %r13, -40
	.cfi_offset %r14, -32
	.cfi_offset %r15, -24
	.cfi_offset %rbp, -16
	movq	(%rdi), %rbx
	addq	$0, %rbx
	cmpq	$0, %rbx
	jne	.LBB1_2
	xorl	%eax, %eax
	addq	$72, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	retq
.LBB1_2:
	.cfi_def_cfa_offset 128
	cmpq	$22222, %rbx
	ja	.LBB1_4
.LBB1_3:
	xorl	%r9d, %r9d
	movq	%rbx, (%rsp)
	callq	fk_53fad6d1ce22.range
	addq	$72, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	retq
.LBB1_4:
	.cfi_def_cfa_offset 128
	movq	%r8, 8(%rsp)
	movq	%rcx, %r15
	movq	%rdx, %r12
	movq	%rsi, %r13
	movq	%rdi, %rbp
	callq	omp_get_max_threads@PLT
	movl	%eax, %r14d
	callq	omp_in_parallel@PLT
	movq	%rbp, %rdi
	movq	%r13, %rsi
	movq	%r12, %rdx
	movq	%r15, %rcx
	movq	8(%rsp), %r8
	cmpl	$0, %eax
	sete	%al
	cmpl	$1, %r14d
	setg	%r9b
	andb	%r9b, %al
	testb	$1, %al
	jne	.LBB1_5
	jmp	.LBB1_3
.LBB1_5:
	movl	$0, 16(%rsp)
	movq	%rbx, 24(%rsp)
	movq	%rdi, 32(%rsp)
	movq	%rsi, 40(%rsp)
	movq	%rdx, 48(%rsp)
	movq	%rcx, 56(%rsp)
	movq	%r8, 64(%rsp)
	movl	$22222, %ecx
	movq	%rbx, %rax
	xorl	%edx, %edx
	divq	%rcx
	addq	$1, %rax
	movl	%r14d, %edx
	movq	%rax, %rcx
	subq	%rdx, %rcx
	cmovbq	%rax, %rdx
	leaq	fk_53fad6d1ce22.thread(%rip), %rdi
	leaq	16(%rsp), %rsi
	xorl	%ecx, %ecx
	callq	GOMP_parallel@PLT
	movl	16(%rsp), %eax
	addq	$72, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	retq
.Lfunc_end1:
	.size	fk_53fad6d1ce22, .Lfunc_end1-fk_53fad6d1ce22
	.cfi_endproc

	.p2align	4
	.type	fk_53fad6d1ce22.thread,@function
fk_53fad6d1ce22.thread:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	pushq	%r15
	.cfi_def_cfa_offset 24
	pushq	%r14
	.cfi_def_cfa_offset 32
	pushq	%r13
	.cfi_def_cfa_offset 40
	pushq	%r12
	.cfi_def_cfa_offset 48
	pushq	%rbx
	.cfi_def_cfa_offset 56
	subq	$24, %rsp
	.cfi_def_cfa_offset 80
	.cfi_offset %rbx, -56
	.cfi_offset %r12, -48
	.cfi_offset %r13, -40
	.cfi_offset %r14, -32
	.cfi_offset %r15, -24
	.cfi_offset %rbp, -16
	movq	%rdi, %rbx
	movq	8(%rbx), %r14
	movq	16(%rbx), %rax
	movq	%rax, 8(%rsp)
	movq	24(%rbx), %r13
	movq	32(%rbx), %r12
	movq	40(%rbx), %r15
	movq	48(%rbx), %rax
	movq	%rax, 16(%rsp)
	callq	omp_get_num_threads@PLT
	movl	%eax, %ebp
	callq	omp_get_thread_num@PLT
	movl	%ebp, %ecx
	movl	%eax, %r9d
	shlq	$5, %rcx
	movq	%r14, %rax
	addq	%rcx, %rax
	subq	$1, %rax
	xorl	%edx, %edx
	divq	%rcx
	shlq	$5, %rax
	imulq	%rax, %r9
	movq	%r9, %rcx
	addq	%rax, %rcx
	movq	%rcx, %rax
	subq	%r14, %rax
	cmovbq	%rcx, %r14
	cmpq	%r14, %r9
	jae	.LBB2_3
	movq	8(%rsp), %rdi
	movq	%r13, %rsi
	movq	%r12, %rdx
	movq	%r15, %rcx
	movq	16(%rsp), %r8
	movq	%r14, (%rsp)
	callq	fk_53fad6d1ce22.range
	cmpl	$0, %eax
	je	.LBB2_3
	movl	$1, (%rbx)
.LBB2_3:
	addq	$24, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	retq
.Lfunc_end2:
	.size	fk_53fad6d1ce22.thread, .Lfunc_end2-fk_53fad6d1ce22.thread
	.cfi_endproc

	.section	".note.GNU-stack","",@progbits
